//go:build race

package ckpt_test

// raceDetector says that the tests run with the race detector, which slows
// programs that are started anew.
const raceDetector = true
