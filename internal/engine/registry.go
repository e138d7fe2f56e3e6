package engine

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Names of the files that say which locations belong to which store. Both are
// lines of text:
//
//	posthouse locations 1
//	store ID
//	location ID "PATH"
//	sum CRC-32C of the lines above, in hexadecimal
//
// The engine's directory holds the list of all locations; the marker of a
// location names that one alone, with the path it had first. They are not part
// of the index, so that they survive its loss; and when the engine's directory
// was lost, a copy of any location's marker does as its list.
const (
	registryName = "locations"
	markerName   = "location"
	registryHead = "posthouse locations 1"
)

// registered is what a list or marker says of a location.
type registered struct{ id, path string }

// registryFile is the content of a list or marker.
type registryFile struct {
	store     string
	locations []registered
}

func newID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func (r registryFile) encode() []byte {
	b := fmt.Appendf(nil, "%s\nstore %s\n", registryHead, r.store)
	for _, l := range r.locations {
		b = fmt.Appendf(b, "location %s %q\n", l.id, l.path)
	}
	return fmt.Appendf(b, "sum %08x\n", checksum(b))
}

var errRegistry = errors.New("not a list of locations, or damaged")

func parseRegistry(b []byte) (r registryFile, err error) {
	at := bytes.LastIndex(b, []byte("sum "))
	if at < 0 || string(b[at:]) != fmt.Sprintf("sum %08x\n", checksum(b[:at])) {
		return r, errRegistry
	}
	lines := strings.Split(strings.TrimSuffix(string(b[:at]), "\n"), "\n")
	if len(lines) < 2 || lines[0] != registryHead {
		return r, errRegistry
	}
	if _, err := fmt.Sscanf(lines[1], "store %s", &r.store); err != nil {
		return r, errRegistry
	}
	for _, line := range lines[2:] {
		var l registered
		if _, err := fmt.Sscanf(line, "location %s %q", &l.id, &l.path); err != nil {
			return r, errRegistry
		}
		r.locations = append(r.locations, l)
	}
	return r, nil
}

// loadRegistry reads a list or marker. The error is fs.ErrNotExist when there
// is none, and errRegistry when it can't be understood.
func loadRegistry(fs vfs.FS, name string) (registryFile, error) {
	f, err := fs.Open(name)
	if err != nil {
		return registryFile{}, err
	}
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err = errors.Join(err, f.Close()); err != nil {
		return registryFile{}, err
	}
	return parseRegistry(b)
}
