"""The page that ``report_html`` fills. Kept as a Python string, so that installing the package needs no data file."""

TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { --paper: #ffffff; --ink: #1b232b; --faint: #64717e; --line: #dbe1e7; --soft: #f4f6f8; --warn: #9a5b00; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14191e; --ink: #e9edf1; --faint: #98a4b0; --line: #2d3640; --soft: #1c232a; --warn: #f0b45c; --bad: #ff8a80; }
}
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif;
  margin: 2rem auto; max-width: 72rem; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; } h2 { font-size: 1.25rem; margin: 2.75rem 0 .25rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .35rem; }
p { margin: .25rem 0 .75rem; } .faint { color: var(--faint); }
.notice { background: var(--soft); border-left: 4px solid var(--warn); padding: .6rem .9rem; }
table { border-collapse: collapse; margin: .5rem 0 1rem; } .wide { overflow-x: auto; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem .3rem 0; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { color: var(--faint); font-weight: 600; vertical-align: bottom; white-space: normal; }
td.words { text-align: left; white-space: normal; overflow-wrap: anywhere; }
img { border-radius: 6px; display: block; height: auto; max-width: 100%; }
.warning { color: var(--warn); } .error { color: var(--bad); } code { font-size: .9em; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="notice">Automatic result, for research use only. This is not a medical device; a radiologist has to check it.</p>

<div class="wide"><table>
<tr><th>Case</th>{% for name in volumes %}<th>{{ name | capitalize }}, ml</th>{% endfor %}<th>Lesions</th><th>Largest, mm</th>
{% for name in agreement %}<th>{{ name }}</th>{% endfor %}
<th>Seconds</th><th>Peak memory, MB</th><th>Device</th></tr>
{% for item in cases %}
<tr><td><a href="#case{{ loop.index }}">{{ item.case.name }}</a></td>
{% for name in volumes %}<td>{{ item.report.volumes_ml.get(name) | number }}</td>{% endfor %}
<td>{{ item.report.lesions | length }}</td>
<td>{{ (item.report.lesions | map(attribute="diameter_mm") | max | number(0)) if item.report.lesions else "-" }}</td>
{% for name in agreement %}<td>{{ item.case.agreement.get(name) | number(3) }}</td>{% endfor %}
<td>{{ item.report.seconds.total | number }}</td><td>{{ item.report.peak_rss_mb | number(0) }}</td>
<td>{{ item.report.device }}</td></tr>
{% endfor %}
</table></div>
<p class="faint">Liver is the whole organ, tumours included. Diameters are the longest in an axial slice.</p>
{% if failed %}
<h2>Not segmented</h2>
<div class="wide"><table>
<tr><th>Case</th><th>Why</th></tr>
{% for name, reason in failed.items() %}
<tr><td>{{ name }}</td><td class="words error">{{ reason }}</td></tr>
{% endfor %}
</table></div>
{% endif %}

{% for item in cases %}
<section id="case{{ loop.index }}">
<h2>{{ item.case.name }}</h2>
{% if item.case.about %}<p class="faint">{{ item.case.about }}</p>{% endif %}
{% if item.picture %}<img src="{{ item.picture | source }}" loading="lazy" alt="Axial, coronal and sagittal plane of {{ item.case.name }} with contours of liver and tumours">{% endif %}

<h3>What was noticed in the scan</h3>
{% if item.report.findings %}
<ul>{% for finding in item.report.findings %}<li class="{{ finding.grade }}"><b>{{ finding.grade }}</b>: {{ finding.message }}</li>{% endfor %}</ul>
{% else %}<p>Nothing.</p>{% endif %}

<h3>Lesions</h3>
{% if item.report.lesions %}
<div class="wide"><table>
<tr><th>No.</th><th>Volume, ml</th><th>Longest, mm</th><th>Perpendicular, mm</th><th>Mean HU</th><th>SD HU</th>
<th>Network score</th><th>To liver surface, mm</th><th>Centre L, P, S, mm</th></tr>
{% for lesion in item.report.lesions[:40] %}
<tr><td>{{ lesion.id }}</td><td>{{ lesion.volume_ml | number(2) }}</td><td>{{ lesion.diameter_mm | number }}</td>
<td>{{ lesion.perpendicular_mm | number }}</td><td>{{ lesion.mean_hu | number(0) }}</td><td>{{ lesion.sd_hu | number(0) }}</td>
<td>{{ lesion.mean_probability | number(2) }}</td><td>{{ lesion.distance_to_liver_surface_mm | number }}</td>
<td>{% for value in lesion.centroid_lps_mm %}{{ value | number(0) }}{{ ", " if not loop.last }}{% endfor %}</td></tr>
{% endfor %}
</table></div>
{% if item.report.lesions | length > 40 %}<p class="faint">The first 40 of {{ item.report.lesions | length }}; the CSV has all.</p>{% endif %}
{% else %}<p>No tumour was found. That does not mean that there is none.</p>{% endif %}

<h3>How it was made</h3>
<div class="wide"><table>
<tr><th>Input</th><td class="words"><code>{{ item.report.input.path }}</code><br>{{ item.report.input.geometry.size | join(" x ") }} voxels,
{% for value in item.report.input.geometry.spacing %}{{ value | number(2) }}{{ " x " if not loop.last }}{% endfor %} mm<br>
<span class="faint">SHA-256 {{ item.report.input.sha256 }}</span></td></tr>
{% for key in ("model", "localiser") if item.report.get(key) %}
<tr><th>{{ key | capitalize }}</th><td class="words">{{ item.report[key].id }} {{ item.report[key].version }}<br>
<span class="faint">SHA-256 {{ item.report[key].sha256 }}</span></td></tr>
{% endfor %}
<tr><th>Run</th><td class="words">quality {{ item.report.quality }}, device {{ item.report.device }}, LiverTumorSeg {{ item.report.version }}</td></tr>
<tr><th>Seconds</th><td class="words">{% for stage, value in item.report.seconds.items() %}{{ stage }} {{ value | number(2) }}{{ ", " if not loop.last }}{% endfor %}</td></tr>
</table></div>
</section>
{% endfor %}
</body>
</html>
"""
