"""Hands the native core to `native/build.py` when a wheel or an editable install is made."""

import importlib.util
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


class NativeCore(build_ext):
    """`build_ext` that asks native/build.py for the one extension."""

    def build_extension(self, ext: Extension) -> None:
        spec = importlib.util.spec_from_file_location("native_build", ROOT / "native" / "build.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["native_build"] = module
        spec.loader.exec_module(module)
        module.build(Path(self.get_ext_fullpath(ext.name)).resolve().parent)


setup(
    ext_modules=[Extension("ghostchain._native", sources=[], py_limited_api=True)],
    cmdclass={"build_ext": NativeCore},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
