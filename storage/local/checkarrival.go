package local

import (
	"context"

	"github.com/posthouse-mail/posthouse/internal/engine"
)

// arrivals checks what says that accounts arrive from other stores.
func (c *checker) arrivals(ctx context.Context) error {
	return c.snap.Scan(ctx, []byte{keyArrival}, []byte{keyArrival + 1}, func(k, v []byte) error {
		a, err := parseArrival(v)
		if err != nil || checkUser(string(k[1:])) != nil {
			return c.unknownKey(k)
		}
		c.given.account = max(c.given.account, a.listed)
		return nil
	})
}

// arrivedReferences counts the references of bodies that have arrived from
// another store, with those whose account is here or does not come: they are
// taken back soon.
func (c *checker) arrivedReferences(ctx context.Context, from, to engine.BlobID, find func(engine.BlobID) *counted) error {
	return c.snap.Scan(ctx, []byte{keyArrived}, []byte{keyArrived + 1}, func(k, v []byte) error {
		id, err := parseArrived(v)
		first := from == 1
		switch b := find(id); {
		case err != nil || len(k) != 17:
			if first {
				return c.unknownKey(k)
			}
		case b != nil:
			b.left--
		case id >= from && id <= to:
			return c.unknownKey(k)
		}
		return nil
	})
}
