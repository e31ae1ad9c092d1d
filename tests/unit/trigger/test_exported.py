import kontinual.trigger


def test_every_exported_name_is_there_and_sorted() -> None:
    names = kontinual.trigger.__all__
    assert names == sorted(names)
    assert [n for n in names if not hasattr(kontinual.trigger, n)] == []
