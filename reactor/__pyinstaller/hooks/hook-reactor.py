"""PyInstaller's hook: what is imported by name only, as ``websocket._core`` is, goes along."""

from PyInstaller.utils.hooks import collect_submodules

hiddenimports = collect_submodules("reactor", lambda name: "__pyinstaller" not in name)
