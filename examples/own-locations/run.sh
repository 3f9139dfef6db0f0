#!/usr/bin/env bash
# Embeds a list of places with a model of their region: run.sh [PLACES] [MAP] [LOCATIONS] [STEPS]
set -euo pipefail
source "$(dirname "$0")/../farm.sh"
places=$(realpath "${1:-$(dirname "$0")/places.csv}")
map=$(realpath "${2:-$project/examples/helsinki.osm.pbf}")
locations=${3:-1000}
steps=${4:-300}

# A model of the region: it learns from many locations that the farm draws from the map itself.
farm import "$map"
farm enqueue --dataset region --sample "$locations"
farm work --until empty --dataset region
farm train --dataset region --model region --steps "$steps"

# The places: nothing is trained on them, so each needs its anchor alone.
farm enqueue --dataset places --locations "$places" --positives 0
farm work --until empty --dataset places
farm embed --dataset places --model region
farm atlas --dataset places --model region --quick
