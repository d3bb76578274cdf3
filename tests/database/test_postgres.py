"""The label store in PostgreSQL: what it refuses, what it keeps quiet about, and that a URL goes where a path does."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from fault_server import FaultServer
from postgres_server import PASSWORD
from shared_store import TASK, Silent, costly, notes, teacher

import clinidistill as cd
from clinidistill.component import shown
from clinidistill.database import exists, has_password
from clinidistill.errors import ConfigError, StoreError
from clinidistill.store import LabelStore


def relations(postgres, schema):
    return postgres.run(f"SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('{schema}')")


# -- what is refused -------------------------------------------------------------------------------------------------


def test_a_schema_of_somebody_elses_is_refused_and_left_alone(postgres, schema, url):
    postgres.run(f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.annotation (x text)")
    with pytest.raises(StoreError, match=rf"{schema}.*something else.*name another"):
        LabelStore(url)
    assert relations(postgres, schema) == [("annotation",)]
    postgres.run(f"DROP TABLE {schema}.annotation", f"CREATE TABLE {schema}.label_store (x text)")
    with pytest.raises(StoreError, match="no label store"):
        LabelStore(url)
    postgres.run(
        f"DROP TABLE {schema}.label_store",
        f"CREATE TABLE {schema}.label_store (application text, version bigint)",
        f"INSERT INTO {schema}.label_store VALUES ('jam', 1)",
    )
    with pytest.raises(StoreError, match="no label store"):
        LabelStore(url)
    assert relations(postgres, schema) == [("label_store",)]


def test_stores_lie_beside_each_other_in_schemas_of_any_name(postgres, schema):
    names = [schema, f'{schema} "x"; DROP', f"{schema} é%?"]
    for number, name in enumerate(names):
        with LabelStore(postgres.url(name)) as store:
            store.register(Silent(name=f"t{number}"))
    for number, name in enumerate(names):
        with LabelStore(postgres.url(name)) as store:
            assert [known.name for known in store.teachers()] == [f"t{number}"]


def test_without_a_name_the_schema_is_clinidistill(postgres):
    LabelStore(postgres.url()).close()
    assert ("label_store",) in relations(postgres, "clinidistill")


def test_a_database_that_does_not_hold_all_characters_is_refused(postgres):
    postgres.run("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(StoreError, match="createdb -E UTF8"):
        LabelStore(postgres.url(database="latin"))


def test_a_user_without_rights_is_told_what_is_missing_and_needs_no_more_than_that(postgres, schema):
    LabelStore(postgres.url(schema)).close()
    theirs = postgres.guarded_url(schema=schema)
    with pytest.raises(StoreError, match="not granted to this user"):
        LabelStore(theirs)
    postgres.run(f"GRANT USAGE ON SCHEMA {schema} TO guarded")
    with pytest.raises(StoreError, match="permission denied.*grant"):
        LabelStore(theirs)
    postgres.run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO guarded")
    with FaultServer(answer=costly) as server:
        labels = cd.label(notes(2), teacher(server), theirs, progress=False)
        assert [len(a.spans) for opinions in labels for a in opinions.annotations.values()] == [1, 1]


# -- passwords -------------------------------------------------------------------------------------------------------


def test_a_password_is_in_no_error_repr_log_or_table(postgres, schema, caplog, tmp_path, monkeypatch):
    caplog.set_level("DEBUG")
    url, told = postgres.guarded_url(schema=schema), []
    with FaultServer(answer=costly) as server:
        with LabelStore(url) as store:
            labels = cd.label(notes(3), teacher(server), store, progress=False)
            told += [
                repr(store),
                store.path,
                repr(labels),
                str(vars(store.database)),
                str(store.teachers()),
            ]
            told += map(str, postgres.run(f"SELECT * FROM {schema}.teacher"))

        class Dying(Silent):
            def label_document(self, document):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt) as caught:
            cd.label(notes(1), Dying(), url)
        told += caught.value.__notes__
    for wrong in (
        postgres.guarded_url(PASSWORD + "x"),
        url.replace("/postgres", "/absent"),
        url.replace("127.", "300."),
    ):
        with pytest.raises(StoreError) as caught:
            LabelStore(wrong)
        assert caught.value.__cause__ is caught.value.__context__ is None
        told.append(str(caught.value))
    told += [str(shown({"store": url})), str(shown([f"postgresql://h/d?user=u&password={quote(PASSWORD)}"]))]
    everything = "\n".join([*told, caplog.text])
    for secret in (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), "sesame"):
        assert secret not in everything


MISREAD = ("u:se/same@h/db", "u:ses@me@h/db", "u:s@same/x@h/db", "h:sesame/db", "h/d?sesame=1", "%zzsesame@h/d")


@pytest.mark.parametrize("place", MISREAD)
def test_an_address_that_is_misread_is_not_repeated(place):
    with pytest.raises(StoreError, match="cannot be read.*%40") as caught:
        LabelStore(f"postgresql://{place}")
    assert "same" not in str(caught.value)
    assert "ses" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "PostgreSQL", "mysql"])
@pytest.mark.parametrize("kind", [str, Path])
def test_another_kind_of_url_is_refused_and_not_repeated(scheme, kind, cli, tmp_path):
    place, told = kind(f"{scheme}://me:sesame@h/db"), []
    for use in (LabelStore, exists, lambda place: cd.load_teacher("recorded", path=place)):
        with pytest.raises(StoreError, match=r"begins with postgresql://") as caught:
            use(place)
        told.append(str(caught.value))
    _, out, err = cli("label", tmp_path / "n.jsonl", "-t", "terminology label=x", "--store", place)
    assert "sesame" not in "".join([*told, out, err])
    assert has_password(f"{scheme}://me:sesame@h/db") is (scheme != "mysql")


def test_a_password_comes_from_the_environment_a_password_file_or_a_service(postgres, schema, tmp_path, monkeypatch):
    bare = postgres.guarded_url(None, schema=schema)
    with pytest.raises(StoreError, match=r"PGPASSWORD.*\.pgpass"):
        LabelStore(bare)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    LabelStore(bare).close()
    monkeypatch.delenv("PGPASSWORD")
    file = tmp_path / "pgpass"
    file.write_text("*:*:*:guarded:" + PASSWORD.replace(":", "\\:") + "\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    LabelStore(bare).close()
    (tmp_path / "services").write_text(f"[ours]\nhost=127.0.0.1\nport={postgres.port}\nuser=guarded\ndbname=postgres\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    with LabelStore(f"postgresql:///?service=ours&schema={schema}") as store:
        assert store.path == f"postgresql:///?service=ours&schema={schema}"
        assert store.teachers() == []


# -- everything that takes a store takes a URL -----------------------------------------------------------------------


def test_an_estimate_counts_what_the_store_has_and_makes_none(postgres, schema, url):
    with FaultServer(answer=costly) as server:
        asking = teacher(server)
        assert cd.estimate(notes(5), asking, url)[0].documents == 5
        assert relations(postgres, schema) == []
        assert not exists(url)
        cd.label(notes(3), asking, url, progress=False)
        assert exists(url)
        assert cd.estimate(notes(5), asking, url)[0].documents == 2


def test_answers_are_read_again_and_replayed_out_of_the_store(url):
    with FaultServer(answer=costly) as server:
        asking = teacher(server)
        cd.label(notes(4), asking, url, progress=False)
        with LabelStore(url) as store:
            store.database.query("DELETE FROM annotation")
        labels = cd.relabel(notes(4), asking, url, progress=False)
        replay = cd.load_teacher("recorded", path=url, task=TASK)
        assert len(server.times) == 4
    assert [span.key for opinions in labels for a in opinions.annotations.values() for span in a.spans] == [
        span.key for document in replay.predict(notes(4)) for span in document.spans
    ]
    assert labels.costs()[0].input_tokens == 1600
    assert labels.costs()[0].wall_seconds_per_document > 0


def test_the_command_line_takes_a_url_but_no_password(postgres, schema, url, cli, tmp_path):
    file = tmp_path / "notes.jsonl"
    file.write_text("".join(json.dumps(note.to_dict()) + "\n" for note in notes(2)))
    drugs = tmp_path / "drugs.csv"
    drugs.write_text("code,name\n1,metformin\n")
    words = (file, "-t", f"terminology path={drugs} label=medication", "--store")
    code, _, err = cli("relabel", *words, url)
    assert (code, "no such label store" in err, relations(postgres, schema)) == (1, True, [])
    code, _, err = cli("label", *words, url)
    assert (code, "annotations in postgresql:///postgres?" in err.replace("\n", "")) == (0, True)
    code, out, _ = cli("combine", file, "--store", url, "-a", "union")
    assert (code, out.count('"start"')) == (0, 2)
    code, out, err = cli("label", *words, postgres.guarded_url(schema=schema))
    assert (code, "seen by all" in err, "sesame" in out + err) == (1, True, False)


def test_a_recipe_takes_a_url_but_no_password(postgres, url, tmp_path):
    recipe = tmp_path / "recipe.toml"
    parts = [f'{part} = {{{{use = "demo", split = "{part}"}}}}' for part in ("train", "test")]
    head, rest = ['name = "r"', "store = {}", "[data]"], ["[[teachers]]", 'use = "terminology"']
    text = "\n".join([*head, *parts, *rest, "[student]", 'use = "token-classifier"'])
    recipe.write_text(text.format(json.dumps(url)))
    assert cd.Recipe.load(recipe).store == url
    recipe.write_text(text.format(json.dumps(postgres.guarded_url())))
    with pytest.raises(ConfigError, match=r"password does not belong") as caught:
        cd.Recipe.load(recipe)
    assert "sesame" not in str(caught.value)
    recipe.write_text(text.format('"labels.sqlite"'))
    assert cd.Recipe.load(recipe).store == str(tmp_path / "labels.sqlite")
