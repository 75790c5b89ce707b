// Package dsdoctor examines a Datastore database (Firestore in Datastore mode) for use by
// a log: whether it can be reached, is of the right mode, takes reads and writes of these
// credentials, how its transactions behave, and how its clock and this machine's differ.
//
// It writes an entity of the kind RollforwardDoctor and deletes it again.
package dsdoctor
