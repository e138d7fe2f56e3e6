package engine

import "github.com/cockroachdb/pebble/v2"

// blobChanges are the bodies that a group touches, as its accepted changes
// leave them, and what that does to the accounts.
type blobChanges struct {
	db       *pebble.DB
	now      map[BlobID]blob // refs 0: dead
	accounts accountChange
}

func newBlobChanges(db *pebble.DB) *blobChanges {
	return &blobChanges{db: db, now: make(map[BlobID]blob), accounts: make(accountChange)}
}

// get returns a body as it stands; one with no refs is dead or unknown.
func (c *blobChanges) get(id BlobID) (blob, error) {
	if b, ok := c.now[id]; ok {
		return b, nil
	}
	v, ok, err := get(c.db, blobKey(id))
	if err != nil || !ok {
		return blob{}, err
	}
	b, err := parseBlob(v)
	if err == nil {
		c.now[id] = b
	}
	return b, err
}

// set records what becomes of a body that get returned as was.
func (c *blobChanges) set(id BlobID, was, now blob) {
	if was.refs > 0 {
		c.accounts.add(was, -1)
	}
	if now.refs > 0 {
		c.accounts.add(now, +1)
	}
	c.now[id] = now
}

// apply is set for a change read from the log.
func (c *blobChanges) apply(kv keyValue) error {
	id, ok := blobOfKey(kv.key)
	if !ok {
		return nil
	}
	was, err := c.get(id)
	if err != nil {
		return err
	}
	var now blob
	if kv.op == opSet {
		if now, err = parseBlob(kv.value); err != nil {
			return err
		}
	}
	c.set(id, was, now)
	return nil
}
