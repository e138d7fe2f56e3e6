package engine

import (
	"fmt"
	"slices"
	"sync"
)

// place is where a segment stands.
type place struct {
	location int   // index of the location
	size     int64 // octets of the file
}

// places say in which location each segment stands. A segment is in at most
// one; its number says nothing about which.
type places struct {
	mu   sync.Mutex
	of   map[uint32]place
	used []int64 // octets of the segments in each location
	held []int   // how many they are
}

func newPlaces(locations int) *places {
	return &places{of: make(map[uint32]place), used: make([]int64, locations), held: make([]int, locations)}
}

// get returns where a segment stands; ok is false when it is nowhere.
func (p *places) get(number uint32) (at place, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok = p.of[number]
	return at, ok
}

// put says where a segment stands and how large it is now.
func (p *places) put(number uint32, at place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(number)
	p.of[number] = at
	p.used[at.location] += at.size
	p.held[at.location]++
}

// grow says how large a segment has become.
func (p *places) grow(number uint32, size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.of[number]; ok {
		p.used[at.location] += size - at.size
		at.size = size
		p.of[number] = at
	}
}

// remove says that a segment is gone.
func (p *places) remove(number uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(number)
}

func (p *places) drop(number uint32) {
	if at, ok := p.of[number]; ok {
		p.used[at.location] -= at.size
		p.held[at.location]--
		delete(p.of, number)
	}
}

// in returns how many segments a location holds, and their octets.
func (p *places) in(location int) (segments int, octets int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held[location], p.used[location]
}

// numbers returns the segments that stand somewhere, ascending.
func (p *places) numbers() []uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]uint32, 0, len(p.of))
	for number := range p.of {
		list = append(list, number)
	}
	slices.Sort(list)
	return list
}

// scan finds out where segments stand. The names of those found are durable
// when it returns.
func (s *files) scan() error {
	for i, l := range s.locations {
		if !l.readOnly || l.own { // what was made there last may be so new that its name is not durable
			if err := syncDir(s.fs, l.dir); err != nil {
				return err
			}
		}
		numbers, err := listNumbered(s.fs, l.dir, segmentSuffix)
		if err != nil {
			return locationError(l, "can't be read", err)
		}
		for _, number := range numbers {
			if err := s.found(i, number); err != nil {
				return err
			}
		}
	}
	return nil
}

// found takes note of a segment. When it stands in two locations, one of them
// may be what is left from trying to make it there in vain, which holds no
// record; everything else is nothing to decide here.
func (s *files) found(location int, number uint32) error {
	info, err := s.fs.Stat(s.nameIn(location, number))
	if err != nil {
		return locationError(s.locations[location], "can't be read", err)
	}
	now := place{location, info.Size()}
	was, twice := s.places.get(number)
	switch {
	case !twice:
		s.places.put(number, now)
		return nil
	case now.size <= segmentHead:
		return s.removeIn(location, number)
	case was.size <= segmentHead:
		s.places.put(number, now)
		return s.removeIn(was.location, number)
	}
	return locationError(s.locations[location], fmt.Sprintf("holds segment %d, as does %s", number, s.locations[was.location].dir), nil)
}

// removeIn removes a segment's file from a location, if that may be changed.
func (s *files) removeIn(location int, number uint32) error {
	l := s.locations[location]
	if l.readOnly {
		return nil
	}
	if err := removeIfThere(s.fs, s.nameIn(location, number)); err != nil {
		return err
	}
	return syncDir(s.fs, l.dir)
}
