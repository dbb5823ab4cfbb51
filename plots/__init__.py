"""The figures as Altair code: one module per figure, one theme.

`make plots` writes the Vega-Lite templates. DVC fills them with the tables in dvc.yaml.
"""
