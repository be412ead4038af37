//go:build !race

package ckpt_test

const raceDetector = false
