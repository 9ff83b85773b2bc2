"""Jobs over HTTP: a store that is the queue, workers that do the jobs, and a server that never computes anything."""
