"""The databases of PhysioNet that can be downloaded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Database:
    """A database that PhysioNet publishes.

    Attributes
    ----------
    name : str
        Its name there, by which a user asks for it.
    title : str
    size : str
        Of its records, in words.
    version : str
    """

    name: str
    title: str
    size: str
    version: str = "1.0.0"

    @property
    def address(self) -> str:
        """The folder of its files on PhysioNet's server."""
        return f"https://physionet.org/files/{self.name}/{self.version}/"

    @property
    def variable(self) -> str:
        """The environment variable that names a mirror of that folder."""
        return f"{self.name.upper()}_ADDRESS"

    @property
    def by_hand(self) -> str:
        """What to do where the download fails."""
        return (
            f"download the database by hand from https://physionet.org/content/{self.name}/{self.version}/ "
            "and give its folder as SOURCE, or use `simulated`"
        )

    @property
    def another_server(self) -> str:
        """What to do where a server's files are not those of the database."""
        return f"unset {self.variable} if it is set, or {self.by_hand}"


DATABASES = {
    database.name: database
    for database in (
        Database("mitdb", "MIT-BIH Arrhythmia Database", "100 MB"),
        Database("svdb", "MIT-BIH Supraventricular Arrhythmia Database", "55 MB"),
    )
}
