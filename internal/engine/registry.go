package engine

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
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

// registry decides which locations belong to this store.
type registry struct {
	fs      vfs.FS
	log     *slog.Logger
	name    string       // of the list
	list    registryFile // as it was read
	damaged bool         // it could not be read, and is told by the markers
	now     registryFile // as it will be
	fresh   []int        // locations that have no marker yet
}

// readRegistry reads the list in the engine's directory, which only an engine
// with locations of its own has.
func (e *Engine) readRegistry(dir string) (*registry, error) {
	r := &registry{fs: e.fs, log: e.log, name: e.fs.PathJoin(dir, registryName)}
	list, err := loadRegistry(e.fs, r.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		list.store = newID()
	case errors.Is(err, errRegistry):
		e.log.Error("list of mail locations is damaged; made again from their markers", "file", r.name)
		r.damaged = true
	case err != nil:
		return nil, err
	}
	r.list, r.now.store = list, list.store
	return r, nil
}

// recognize finds out whether a location belongs to this store.
func (r *registry) recognize(i int, l location) error {
	if _, err := r.fs.List(l.dir); err != nil {
		return locationError(l, "can't be read", err)
	}
	marker, err := loadRegistry(r.fs, r.fs.PathJoin(l.dir, markerName))
	known := slices.IndexFunc(r.list.locations, func(k registered) bool { return k.path == l.dir })
	switch {
	case errors.Is(err, errRegistry) && known >= 0:
		r.log.Error("marker of a mail location is damaged", "location", l.dir)
		marker = registryFile{r.list.store, r.list.locations[known : known+1]}
	case errors.Is(err, fs.ErrNotExist) && known >= 0:
		return locationError(l, "has lost its marker; is its disk there?", nil)
	case errors.Is(err, fs.ErrNotExist) && (l.readOnly || r.damaged):
		return locationError(l, "has no marker of this store", nil)
	case errors.Is(err, fs.ErrNotExist):
		r.fresh = append(r.fresh, i)
		return r.add(registered{newID(), l.dir}, l)
	case err != nil:
		return locationError(l, "has a marker that can't be read", err)
	}
	if r.damaged && r.now.store == "" {
		r.now.store = marker.store
	}
	if marker.store != r.now.store || len(marker.locations) != 1 {
		return locationError(l, "belongs to another store, "+marker.store, nil)
	}
	return r.add(registered{marker.locations[0].id, l.dir}, l)
}

// add takes note of a location, unless it is given twice.
func (r *registry) add(k registered, l location) error {
	for _, other := range r.now.locations {
		if other.id == k.id || other.path == k.path {
			return locationError(l, "is the same as "+other.path, nil)
		}
	}
	r.now.locations = append(r.now.locations, k)
	return nil
}

// register gives new locations their markers, and adds them to the list. The
// store's ID is durable before a marker has it.
func (r *registry) register(s *files) error {
	if len(r.fresh) > 0 && len(r.list.locations) == 0 {
		if err := replaceFile(r.fs, r.name, registryFile{store: r.now.store}.encode()); err != nil {
			return err
		}
	}
	for _, i := range r.fresh {
		if err := r.mark(s, i); err != nil {
			return err
		}
	}
	all := slices.Clone(r.now.locations)
	for _, l := range r.list.locations {
		if !slices.ContainsFunc(all, func(k registered) bool { return k.id == l.id }) {
			all = append(all, l)
		}
	}
	return r.write(all)
}

// forget drops locations from the list that are not used any more, when it is
// known that the store can be opened without them.
func (r *registry) forget() error { return r.write(r.now.locations) }

func (r *registry) write(locations []registered) error {
	if !r.damaged && slices.Equal(locations, r.list.locations) {
		return nil
	}
	if err := replaceFile(r.fs, r.name, registryFile{r.now.store, locations}.encode()); err != nil {
		return err
	}
	r.list.locations, r.damaged = locations, false
	return nil
}

// mark makes a directory a location.
func (r *registry) mark(s *files, i int) error {
	l := s.locations[i]
	if n, _ := s.places.in(i); n > 0 {
		return locationError(l, "holds segments but no marker of this store", nil)
	}
	name := r.fs.PathJoin(l.dir, markerName)
	if _, err := r.fs.Stat(name); err == nil {
		return locationError(l, "is given twice", nil)
	}
	at := slices.IndexFunc(r.now.locations, func(k registered) bool { return k.path == l.dir })
	err := replaceFile(r.fs, name, registryFile{r.now.store, r.now.locations[at : at+1]}.encode())
	if err != nil {
		return locationError(l, "can't be written", err)
	}
	return nil
}
