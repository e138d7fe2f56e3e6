package engine

import (
	"errors"
	"io/fs"
	"log/slog"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// registry decides which locations belong to this store.
type registry struct {
	fs      vfs.FS
	log     *slog.Logger
	name    string       // of the list
	list    registryFile // as it was read
	damaged bool         // it could not be read, and is told by the markers
	now     registryFile // as it will be
	fresh   []int        // locations that have no marker yet
	broken  []int        // locations that have a damaged one
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
		r.log.Error("marker of a mail location is damaged; made again from the list", "location", l.dir)
		if !l.readOnly {
			r.broken = append(r.broken, i)
		}
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

// register gives locations that have none, or a damaged one, their markers, and
// adds new ones to the list. The store's ID is durable before a marker has it.
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
	for _, i := range r.broken {
		if err := r.writeMarker(s.locations[i]); err != nil {
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
	return r.writeMarker(l)
}

func (r *registry) writeMarker(l location) error {
	at := slices.IndexFunc(r.now.locations, func(k registered) bool { return k.path == l.dir })
	err := replaceFile(r.fs, r.fs.PathJoin(l.dir, markerName), registryFile{r.now.store, r.now.locations[at : at+1]}.encode())
	if err != nil {
		return locationError(l, "can't be written", err)
	}
	return nil
}
