// Package lease spreads numbered things, such as the shards of a log, over any
// number of runners in any number of processes. Each thing has one holder at a
// time, and each change of hands raises its epoch by one. All of it is in cells
// of the log.
//
//	PREFIX \x01 runner \x01 ID      a heartbeat: it lives as long as its version changes
//	PREFIX \x01 lease \x01 NNNN     who holds thing N, and the epoch
//
// A lease is free when its cell is absent or names no runner, or when the
// heartbeat of the runner that it names is gone. Who has not changed its
// heartbeat for a while, on the clock of an observer who looked all that time,
// is dead: the observer removes the heartbeat, on the condition that it is
// still the one it saw, and with it gone all its leases are free and its next
// heartbeat is refused. So idle runners cost a write and two range reads a
// tick, however many things there are, and no clock of one machine is ever
// compared with that of another.
//
// A lease saves work; it does not make writes safe by itself, since its holder
// may sleep just before it writes. What must not happen twice is fenced: taking
// a lease changes, in the same write, whatever cells the user's Fence names, so
// that a write of the holder before, on the condition of what it saw there, is
// refused from then on.
package lease
