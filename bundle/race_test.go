//go:build race

package bundle_test

// raceDetector says that the tests run with the race detector, which moves to
// the heap what otherwise is not there: memory is not measured then.
const raceDetector = true
