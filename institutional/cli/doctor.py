"""`institutional doctor`: what is installed, what is missing, how to get it."""

import typer

from institutional.cli.output import Json, print_json, print_table

_EXTRAS = {
    "torch": ("train", "learning agents with networks, alignment methods and studies"),
    "aiohttp": ("language", "language models behind a server"),
    "transformers": ("local", "language models in this process, and the pocket model"),
    "llguidance": ("local", "answers of local models in the form they are asked for"),
    "trl": ("trl", "alignment methods inside TRL's trainers"),
    "rfc3161-client": ("timestamp", "time stamps on a log by an outside authority"),
}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(doctor)


def doctor(as_json: Json = False) -> None:
    """Say what is installed, what is missing and how to get it.

    Example: institutional doctor
    """
    import platform
    from importlib.metadata import PackageNotFoundError, requires, version

    from institutional.ledger import keys
    from institutional.pocket.place import POCKET, model_folder

    rows = [["python", platform.python_version(), "ok"]]
    missing = False
    seen = {"institutional"}  # an extra names others by it
    for requirement in requires("institutional") or []:
        name = requirement.split(";")[0].split("[")[0]
        for mark in "<>=!~ ":
            name = name.split(mark)[0]
        if name in seen:
            continue
        seen.add(name)
        extra = "extra ==" in requirement
        try:
            rows.append([name, version(name), "ok"])
        except PackageNotFoundError:
            if extra and name not in _EXTRAS:
                continue
            missing = missing or not extra
            how = f"pip install 'institutional[{_EXTRAS[name][0]}]'" if extra else "reinstall"
            purpose = f"optional, for {_EXTRAS[name][1]}: " if extra else "missing: "
            rows.append([name, "-", purpose + how])
    key = keys.home() / "operator.pub"
    rows.append(
        [
            "operator key",
            str(key) if key.is_file() else "-",
            "ok" if key.is_file() else "made by run",
        ]
    )
    pocket = model_folder(POCKET) / "pocket.json"
    rows.append(
        [
            "pocket model",
            str(pocket.parent) if pocket.is_file() else "-",
            "ok" if pocket.is_file() else "optional: institutional agent train pocket",
        ]
    )
    if as_json:
        print_json([dict(zip(("what", "found", "status"), row, strict=True)) for row in rows])
    else:
        print_table("Institutional", ["what", "found", "status"], rows)
    raise typer.Exit(1 if missing else 0)
