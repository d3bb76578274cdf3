"""n2c2 2018 track 2: medications and adverse drug events in discharge summaries."""

from __future__ import annotations

from clinidistill.datasets.corpora.brat_release import BratRelease

__all__ = ["N2c22018Track2"]


class N2c22018Track2(BratRelease):
    """n2c2 2018, track 2: medications, their attributes and adverse events in 505 discharge summaries of MIMIC-III.

    Where to get it: https://portal.dbmi.hms.harvard.edu/projects/n2c2-nlp/, after signing the n2c2 data use agreement.
    Point `path` at the folder with ``training_20180910.zip`` (or ``track2-training_data_2.zip`` and
    ``track2-training_data_3.zip``, which hold the same notes) and ``gold-standard-test-data.zip``, as they are or
    unpacked.

    Splits: ``train`` (303) and ``test`` (202), the official ones. There is no official development set:
    ``dataset.split(0.9, 0.1, seed=0)`` cuts one off.

    Labels: ``Drug``, ``Strength``, ``Form``, ``Dosage``, ``Route``, ``Frequency``, ``Duration``, ``Reason``, and
    ``ADE``. By default ``Drug`` is ``medication`` and the rest is left out. A wider reading takes
    ``labels=dict.fromkeys(["Drug", "Strength", "Form", "Dosage", "Route"], "medication")``, in which each stays a
    mention of its own. Reasons and ADEs are marked only where a drug is involved: an unmarked disease is no negative.

    Henry et al. 2020, https://doi.org/10.1093/jamia/ocz166

    Args:
        path, split, labels, on_error, complete: see :class:`~clinidistill.datasets.corpora.base.Corpus`.
    """

    splits = ("train", "test")
    homepage = "https://portal.dbmi.hms.harvard.edu/projects/n2c2-nlp/"
    agreement = "n2c2 data use agreement"
    names = {"Drug": "medication"}
    folders = {
        "train": ("training_20180910", "track2-training_data*", "train*"),
        "test": ("gold-standard-test-data", "test"),
    }
    pairs = sizes = {"train": 303, "test": 202}
