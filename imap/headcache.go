package imap

import (
	"sync"
	"sync/atomic"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// headCache keeps what searches, sorts and threads have read of the headers of
// messages, for all sessions of a server. A message never changes, so a row
// never gets old; what has not been used for longest goes when there is no more
// room. The zero headCache keeps nothing.
type headCache struct {
	mu     sync.Mutex
	most   int64 // octets
	size   int64
	clock  uint64
	sheets map[sheetID]*sheet
}

// sheetID names the rows of a mailbox.
type sheetID struct {
	box      storage.MailboxID
	validity uint32
	kind     rowKind
}

// sheet holds the rows of a mailbox.
type sheet struct {
	id     sheetID
	cache  *headCache
	closed atomic.Bool // nothing more is kept

	mu    sync.Mutex
	pages map[imap.UID]*sheetPage
	at    imap.UID // the page that was used last
	page  *sheetPage

	size int64  // octets; the cache's lock holds this and what follows
	rows int    // that were kept
	used uint64 // the cache's clock when it was opened
}

// A page holds the rows of 64 UIDs. A row that is not there is empty.
const (
	sheetPageBits = 6
	sheetPageSize = 1 << sheetPageBits
	pageOctets    = sheetPageSize*16 + 64
)

type sheetPage [sheetPageSize]string

// maxRow bounds a row that is kept.
const maxRow = 16 << 10

// open returns the sheet of a mailbox with n messages; one that is full of
// messages that are gone begins anew. All sheets have most octets together.
func (c *headCache) open(id sheetID, n int, most int64) *sheet {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.most = most
	s := c.sheets[id]
	if s != nil && s.rows > 2*n+1024 {
		c.drop(s)
		s = nil
	}
	if s == nil {
		s = &sheet{id: id, cache: c, pages: make(map[imap.UID]*sheetPage)}
		if c.sheets == nil {
			c.sheets = make(map[sheetID]*sheet)
		}
		c.sheets[id] = s
	}
	c.clock++
	s.used = c.clock
	return s
}

func (c *headCache) drop(s *sheet) {
	s.closed.Store(true)
	c.size -= s.size
	delete(c.sheets, s.id)
}

// reserve makes room for octets of a sheet, if need be by dropping others.
func (c *headCache) reserve(s *sheet, octets int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.size+octets > c.most {
		var oldest *sheet
		for _, other := range c.sheets {
			if other != s && (oldest == nil || other.used < oldest.used) {
				oldest = other
			}
		}
		if oldest == nil {
			return false
		}
		c.drop(oldest)
	}
	if s.closed.Load() {
		return false
	}
	c.size += octets
	s.size += octets
	s.rows++
	return true
}

// get returns the row of a message; it is empty when it is not there.
func (s *sheet) get(uid imap.UID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pageOf(uid); p != nil {
		return p[uid%sheetPageSize]
	}
	return ""
}

func (s *sheet) pageOf(uid imap.UID) *sheetPage {
	if at := uid >> sheetPageBits; s.page == nil || s.at != at {
		s.at, s.page = at, s.pages[at]
	}
	return s.page
}

// put keeps the row of a message if there is room for it.
func (s *sheet) put(uid imap.UID, row string) {
	if len(row) > maxRow || s.closed.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, octets := s.pageOf(uid), int64(len(row))
	if p == nil {
		octets += pageOctets
	} else if p[uid%sheetPageSize] != "" {
		return
	}
	if !s.cache.reserve(s, octets) {
		return
	}
	if p == nil {
		p = new(sheetPage)
		s.pages[uid>>sheetPageBits], s.page = p, p
	}
	p[uid%sheetPageSize] = row
}
