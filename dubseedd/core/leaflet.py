"""The leaflet: what a stick says to whoever finds it."""

LEAFLET_TEXT = """\
This stick is a seed: it brings AI models to a Dubnium workstation, with no network.

Each folder in models/ is one model, called a bundle. SHA256SUMS in it lists its
files with their digests; dubnium-bundle.json says where the model came from.

On a workstation with dubseedd, plug the stick in and wait: the models are
verified and installed. "dubseedctl watch" shows how it goes.

By hand, on any Linux system (NAME is the name of the folder):

    cd models/NAME
    sha256sum -c SHA256SUMS          every line has to end in OK
    sudo cp -r . /var/lib/dubnium/models/NAME
    cd /var/lib/dubnium/models/NAME
    sha256sum -c SHA256SUMS          once more, of the copy

Change nothing in a bundle: it would be refused. To make a new one, or to bring
this one up to date: dubseedctl create SOURCE --to SEED
"""
