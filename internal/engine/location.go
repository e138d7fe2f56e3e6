package engine

import (
	"fmt"
	"slices"
)

// Location is a directory that holds segments of the log. All segments of an
// engine are one sequence, in whichever location each stands, and a segment
// may be moved from one location to another while the engine is not open.
//
// A location gets a marker when it is used for the first time, and is required
// to have it from then on: the place of a disk that is not mounted is not taken
// for an empty location.
type Location struct {
	Path     string // of a directory, which must exist; the engine's own "log" may be one
	Limit    int64  // octets of segments, above which only changes without a body and what compaction moves go there; 0: as much as the disk has
	ReadOnly bool   // segments are read there, and none is made, changed or removed
}

// location is one in use.
type location struct {
	dir      string
	limit    int64 // octets of segments; 0: as much as the disk has
	readOnly bool
	own      bool // the engine's "log", which needs no marker
}

// locationsOf are the locations to use: those of the options, and after them,
// for reading what is there from a time before, the engine's own.
func locationsOf(o Options, logDir string) []location {
	if len(o.Locations) == 0 {
		return []location{{dir: logDir, own: true}}
	}
	var list []location
	for _, l := range o.Locations {
		dir := o.FS.PathJoin(l.Path)
		list = append(list, location{dir: dir, limit: l.Limit, readOnly: l.ReadOnly, own: dir == logDir})
	}
	if !slices.ContainsFunc(list, func(l location) bool { return l.own }) {
		list = append(list, location{dir: logDir, readOnly: true, own: true})
	}
	return list
}

// openLocations finds the segments in all locations, and refuses a location
// that is not what it was.
func (e *Engine) openLocations(dir string) (*registry, error) {
	if !slices.ContainsFunc(e.files.locations, func(l location) bool { return !l.readOnly }) {
		return nil, fmt.Errorf("%w: all are read-only", ErrLocation)
	}
	r, err := e.readRegistry(dir)
	if err != nil {
		return nil, err
	}
	for i, l := range e.files.locations {
		if l.dir == "" {
			return nil, fmt.Errorf("%w: one has no path", ErrLocation)
		}
		if l.own {
			continue
		}
		if err := r.recognize(i, l); err != nil {
			return nil, err
		}
		if l.readOnly {
			continue
		}
		if err := e.takeLock(e.fs.PathJoin(l.dir, "lock")); err != nil {
			return nil, err
		}
	}
	if err := e.files.scan(); err != nil {
		return nil, err
	}
	return r, r.register(e.files)
}

// locationError is an ErrLocation that names the location. cause may be nil.
func locationError(l location, what string, cause error) error {
	if cause != nil {
		return fmt.Errorf("%w: %s %s: %w", ErrLocation, l.dir, what, cause)
	}
	return fmt.Errorf("%w: %s %s", ErrLocation, l.dir, what)
}

// reportMissing logs which segments with bodies are in no location.
func (e *Engine) reportMissing() {
	for _, number := range e.accounts.numbers() {
		if _, ok := e.files.places.get(number); ok {
			continue
		}
		if a := e.accounts.get(number); a.bodies > 0 {
			e.log.Error("mail segment is in no location; its messages can't be read",
				"segment", number, "messages", a.bodies, "octets", a.live)
		}
	}
}
