"""The figures as Altair code: one module per figure, one theme. `python -m plots` writes the
Vega-Lite templates that DVC fills with the tables named in dvc.yaml."""
