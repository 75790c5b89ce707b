//go:build !linux

package bench

// fileSystem does not know file systems here.
func fileSystem(string) (string, error) { return "unknown", nil }

// maxRSS is not known here.
func maxRSS() int64 { return 0 }
