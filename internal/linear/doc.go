// Package linear takes histories of concurrent Updates, conditional appends, views
// and refusals over several streams and shards, hot ones too, from several
// processes on one log, and asks porcupine whether one order explains what
// everybody saw. Tests of stores make the processes and their faults.
package linear
