"""Fit the pipeline and keep it as an MLflow model: python save.py FOLDER."""

import sys

import mlflow.sklearn

from benchmarks.serving.pipeline import fit

if __name__ == "__main__":
    mlflow.sklearn.save_model(
        fit(),
        sys.argv[1],
        serialization_format="cloudpickle",
        pyfunc_predict_fn="predict_proba",
        pip_requirements=["scikit-learn"],
    )
