package gcppubsub_test

import (
	"testing"

	"github.com/rollforward/rollforward/internal/emulator"
)

// TestSuiteOnEmulator is Watermill's own, on Google's emulator.
func TestSuiteOnEmulator(t *testing.T) { suite(t, emulator.PubSub.Host(t)) }
