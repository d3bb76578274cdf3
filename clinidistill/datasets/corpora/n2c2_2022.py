"""n2c2 2022 track 1 (CMED): medications and whether they are changed."""

from __future__ import annotations

from clinidistill.datasets.corpora.brat_release import BratRelease

__all__ = ["N2c22022"]


class N2c22022(BratRelease):
    """n2c2 2022, track 1: the Contextualized Medication Event Dataset (CMED), medications in 500 notes.

    Where to get it: https://portal.dbmi.hms.harvard.edu/projects/n2c2-nlp/, after signing the n2c2 data use agreement.
    Point `path` at the folder with the training data (``trainingdata_v3``, which holds ``train`` and ``dev``; earlier
    versions are read where it is absent) and the test set with its gold annotations, as they are or unpacked.

    Splits: ``train`` (350), ``dev`` (50) and ``test`` (100), the official ones. ``test`` is the folder with
    annotations whose name tells of test and gold, else ``release3``, else any called test.

    Labels: a text-bound annotation is a medication, labelled by whether a change of it is discussed: ``Disposition``,
    ``NoDisposition``, ``Undetermined``. By default all three are ``medication``; a medication with several changes is
    one mention. Events and their context (action, time, certainty, actor) are passed over.

    Mahajan et al. 2023, https://doi.org/10.1016/j.jbi.2023.104432

    Args:
        path, split, labels, on_error, complete: see :class:`~clinidistill.datasets.corpora.base.Corpus`.
    """

    homepage = "https://portal.dbmi.hms.harvard.edu/projects/n2c2-nlp/"
    agreement = "n2c2 data use agreement"
    names = dict.fromkeys(("Disposition", "NoDisposition", "Undetermined"), "medication")
    folders = {
        "train": ("trainingdata_v3/train", "train"),
        "dev": ("trainingdata_v3/dev", "dev"),
        "test": ("*test*gold*", "*gold*test*", "release3", "*test*"),
    }
    pairs = sizes = {"train": 350, "dev": 50, "test": 100}
