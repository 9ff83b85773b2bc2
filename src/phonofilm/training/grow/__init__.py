"""From nothing to weights in minutes, on one machine: draw the world, train the codecs or the network, export."""
