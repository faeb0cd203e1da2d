"""The page that ``page`` fills. Kept as a Python string, so that installing the package needs no data file."""

TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { color: #1b232b; font: 14px/1.45 system-ui, "Segoe UI", Roboto, sans-serif; margin: 1.5rem auto;
  max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; }
.notice { background: #f4f6f8; border-left: 4px solid #9a5b00; padding: .5rem .8rem; }
table { border-collapse: collapse; margin: .75rem 0; }
th, td { border-bottom: 1px solid #dbe1e7; padding: .2rem .7rem .2rem 0; text-align: right; white-space: nowrap; }
th { color: #5b6772; } .words { text-align: left; } .reject td { color: #5b6772; text-decoration: line-through; }
.keys { display: grid; gap: .6rem; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); }
figure { margin: 0; } figure img { border-radius: 4px; display: block; width: 100%; }
figcaption, .faint { color: #5b6772; font-size: .85rem; overflow-wrap: anywhere; }
@media print { body { margin: 0; font-size: 11px; } .keys { grid-template-columns: repeat(4, 1fr); } }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="notice">Automatic result reviewed by a reader, for research use only. This is not a medical device.</p>
<p><b>Liver {{ "%.0f" % organ_ml }} ml</b> with tumours, <b>tumour {{ "%.1f" % tumor_ml }} ml</b>; {{ totals }}.</p>
{% if rows %}
<table>
<tr><th>No.</th><th class="words">Place</th><th class="words">Verdict</th><th>ml</th><th>Longest, mm</th>
<th>Perpendicular, mm</th><th>Mean HU</th><th>Network score</th></tr>
{% for row in rows %}{% set lesion = row.is.lesion %}
<tr{% if row.is.verdict == "reject" %} class="reject"{% endif %}><td>{{ row.is.number }}</td>
<td class="words">{{ row.is.place.words() }}</td><td class="words">{{ row.verdict }}</td>
<td>{{ "%.2f" % lesion.volume_ml }}</td><td>{{ "%.1f" % lesion.diameter_mm }}</td>
<td>{{ "%.1f" % lesion.perpendicular_mm }}</td><td>{{ "%.0f" % lesion.mean_hu }}</td>
<td>{{ "-" if lesion.mean_probability is none else "%.2f" % lesion.mean_probability }}</td></tr>
{% endfor %}
</table>
<div class="keys">
{% for picture in pictures %}
<figure><img src="{{ picture.source }}" alt="Axial slice of lesion {{ picture.number }} with its diameters">
<figcaption>{{ picture.number }}: {{ picture.words }}</figcaption></figure>
{% endfor %}
</div>
{% if rows | length > pictures | length %}
<p class="faint">Key images of the first {{ pictures | length }} of {{ rows | length }} lesions.</p>
{% endif %}
{% else %}<p>No lesion. That does not mean that there is none.</p>{% endif %}
<p class="faint">{% if model %}Model {{ model.id }} {{ model.version }}, SHA-256 {{ model.sha256 }}{% endif %}
{% for key, value in settings.items() %}; {{ key }} {{ value }}{% endfor %}</p>
</body>
</html>
"""
