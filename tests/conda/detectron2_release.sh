#!/usr/bin/env bash
# The tests that compare with detectron2, and those that train, once more against the release that the conda environments hold (0.6);
# make test runs them against the later commit of the pip path. detectron2_release.sh FOLDER: an empty folder to unpack it into.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$1

.venv/bin/python -m pip download --quiet --no-deps --no-build-isolation --no-binary :all: --require-hashes \
  --requirement tests/conda/detectron2-0.6.txt --dest "$folder"
mkdir "$folder/path"
tar --extract --gzip --file "$folder"/pb1-detectron2-0.6.tar.gz --directory "$folder/path" --strip-components 1 \
  pb1-detectron2-0.6/detectron2
# As conda-forge's patch does: Pillow 10 has no LINEAR.
sed -i 's/Image\.LINEAR/Image.BILINEAR/' "$folder/path/detectron2/data/transforms/transform.py"
# The release imports its compiled part at once; the project uses nothing of it.
touch "$folder/path/detectron2/_C.py"

export PYTHONPATH="$folder/path" OMP_NUM_THREADS=1
.venv/bin/python - <<'PYTHON'
import detectron2

assert detectron2.__version__ == "0.6", f"{detectron2.__version__} from {detectron2.__file__}"
print("Against detectron2", detectron2.__version__)
PYTHON
mapfile -t files < <(grep --recursive --files-with-matches --include='test_*.py' detectron2 \
  tests/label tests/model tests/train tests/data tests/deploy | sort)
.venv/bin/python -m pytest -p no:cacheprovider -p no:xdist --quiet --durations=5 "${files[@]}"
