"""The figures as Altair code: one module per figure, one theme.

`python -m plots` writes the Vega-Lite templates. DVC fills them with the tables in dvc.yaml.
"""
