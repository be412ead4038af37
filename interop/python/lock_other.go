//go:build !unix

package python

import "os"

// lock only makes sure that the folder can be written to: elsewhere test
// packages have to run one after the other (go test -p 1) the first time.
func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}
