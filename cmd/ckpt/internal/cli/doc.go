// Package cli is the command line of ckpt: one file per verb, each of which
// parses its flags, makes one call to the library and prints the result. Data
// goes to standard output, words to standard error.
package cli
