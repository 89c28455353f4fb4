from pathlib import Path

from tailrace.stack.artifacts import COMPLETE, Artifacts, java_major, pinned_versions


def whole(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "a.jar").write_bytes(b"12345")
    (folder / COMPLETE).write_text("5")


def test_the_versions_are_those_of_the_pom():
    assert {name: version.split(".")[0] for name, version in pinned_versions().items()} == {
        "kafka": "4",
        "elasticsearch": "8",
    }


def test_only_a_whole_folder_counts_as_fetched(tmp_path: Path):
    artifacts = Artifacts(tmp_path)
    assert artifacts.missing() == [artifacts.kafka.name, artifacts.elasticsearch.name]

    whole(artifacts.kafka)
    whole(artifacts.elasticsearch)
    assert artifacts.missing() == []
    assert artifacts.fetch() is False

    (artifacts.kafka / "a.jar").write_bytes(b"123")
    assert artifacts.missing() == [artifacts.kafka.name]


def test_the_java_version_is_read_in_its_old_and_new_form(tmp_path: Path):
    release = tmp_path / "release"
    release.write_text('IMPLEMENTOR="Debian"\nJAVA_VERSION="17.0.15"\n')
    assert java_major(tmp_path) == 17
    release.write_text('JAVA_VERSION="1.8.0_402"\n')
    assert java_major(tmp_path) == 8
    release.unlink()
    assert java_major(tmp_path) is None
