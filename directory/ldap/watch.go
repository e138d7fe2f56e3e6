package ldap

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	ldap "github.com/go-ldap/ldap/v3"
)

// ErrNoWatch says that no server of a directory tells of changes, or not to
// this client: the syncprov overlay, the right, or a size limit is missing.
var ErrNoWatch = errors.New("LDAP directory does not tell of changes")

// Watch follows the changes beneath Config.Base until ctx ends, and calls fn
// for each, one at a time and in the order of the server, so that caches can
// forget what is no longer true: OpenLDAP and other servers by RFC 4533 in the
// mode refreshAndPersist, Active Directory by its control DirSync, asked every
// Config.Poll. It returns the error of ctx, ErrNoWatch, or ErrUnavailable after
// Close; what goes wrong on the way is tried again, on the next server, with
// pauses that grow from a tenth of a second to Config.Retry.
//
// The first call is Change{All: true}, when it begins to follow. Later ones are
// of single entries, and of all when it can't know what changed: the server has
// forgotten where Watch stood, another server is asked, a subtree was renamed, a
// group changed and Groups.Required is set, or the entry is one of those beyond
// Config.WatchMemory. After an outage it goes on where it stood.
//
// A change is told with some delay, and while servers are away none is: an
// entry must still live in a cache for a limited time. Where several servers
// replicate each other, the one that answers lookups may have a change later than
// the one that told of it. Without the right to replicate (DS-Replication-
// Get-Changes), Active Directory does not tell of entries that were removed.
//
// fn must not block for long: changes wait for it at the server.
func (c *Connector) Watch(ctx context.Context, fn func(Change)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	w := c.newWatch(fn)
	const first = 100 * time.Millisecond
	for pause := first; ; pause = min(2*pause, c.c.Retry) {
		err := w.tryAll(ctx)
		switch {
		case c.ctx.Err() != nil:
			return errClosed
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrNoWatch) && !w.followed:
			return err
		case w.live:
			w.live, pause = false, first
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// watch is one call of Watch.
type watch struct {
	c      *Connector
	tell   func(Change)
	names  []string // the attributes that name users, in small letters
	memory memory

	server   *server // whose memory and cookie this is
	cookie   []byte  // where we stand; empty: at the beginning
	initial  bool    // what comes is the content to begin with, not news
	live     bool    // a server was followed since the last pause
	followed bool    // or ever

	dirSyncFlags int64
}

func (c *Connector) newWatch(fn func(Change)) *watch {
	return &watch{c: c, tell: fn, names: c.nameAttributes(), memory: newMemory(c.c.WatchMemory),
		dirSyncFlags: ldap.DirSyncIncrementalValues} // of a group, not all members each time
}

// tryAll follows the first server that can be followed, until that ends. It
// returns ErrNoWatch when none of those that can be reached may ever be.
func (w *watch) tryAll(ctx context.Context) error {
	var never, failed error
	for _, s := range w.c.upFirst() {
		err := w.follow(ctx, s)
		if w.live || ctx.Err() != nil {
			return err
		}
		if errors.Is(err, ErrNoWatch) {
			never = err
		} else {
			failed = err
		}
	}
	if failed != nil {
		return failed
	}
	return never
}

// upFirst returns the servers in the order in which lookups ask them, and
// behind those the ones that are down.
func (c *Connector) upFirst() []*server {
	var up, down []*server
	for _, s := range c.servers {
		if _, is := s.isUp(); is {
			up = append(up, s)
		} else {
			down = append(down, s)
		}
	}
	return append(up, down...)
}

// follow follows one server until its connection or ctx ends.
func (w *watch) follow(ctx context.Context, s *server) error {
	conn, err := w.c.dial(ctx, s.at, time.Now().Add(w.c.c.Timeout), searches)
	if err != nil {
		return err
	}
	defer func() {
		conn.broken = true // it is not of use to anybody else
		conn.close()
	}()
	if s != w.server {
		w.restart(s)
	}
	if w.c.c.Type == ActiveDirectory {
		err = w.dirSync(ctx, conn)
	} else {
		err = w.syncRepl(ctx, conn)
	}
	if never := refused(err); never != nil && len(w.cookie) == 0 && !w.live {
		return fmt.Errorf("%s: %w", s.at.uri, never)
	}
	if ctx.Err() == nil {
		s.doubt()
	}
	return &failure{s.at.uri, "watch", err, false}
}

// follows notes that the content is known and that changes will be told.
func (w *watch) follows() {
	w.live, w.followed = true, true
	if w.initial {
		w.initial = false
		w.tell(Change{All: true})
	}
}

// restart forgets where we stood, at a server that is new to us or that has
// forgotten it too.
func (w *watch) restart(s *server) {
	w.server, w.cookie, w.initial = s, nil, true
	w.memory = newMemory(w.c.c.WatchMemory)
}

// put takes the state of an entry in and tells of it.
func (w *watch) put(id entryID, now record) {
	before, known := w.memory.get(id)
	w.memory.put(id, now)
	switch {
	case w.initial:
	case !known && w.memory.partial, w.decides(before), w.decides(now), known && before.moved(now):
		w.tell(Change{All: true})
	default:
		w.tell(Change{DN: now.dn, Old: w.namesOf(before), New: w.namesOf(now)})
	}
}

// gone forgets an entry and tells of it.
func (w *watch) gone(id entryID, dn string) {
	before, known := w.memory.get(id)
	w.memory.remove(id)
	switch {
	case w.initial:
	case !known && w.memory.partial, w.decides(before):
		w.tell(Change{All: true})
	case known:
		w.tell(Change{DN: before.dn, Old: w.namesOf(before)})
	case dn != "":
		w.tell(Change{DN: dn})
	}
}

// decides reports whether an entry decides on the logins of others.
func (w *watch) decides(r record) bool { return r.group && w.c.c.Groups.Required != "" }

// refused says whether an error is that of a server which will never let us
// watch, and puts it in words.
func refused(err error) error {
	switch code(err) {
	case ldap.LDAPResultUnavailableCriticalExtension:
		return fmt.Errorf("%w: it does not know the control (OpenLDAP: overlay syncprov): %s", ErrNoWatch, text(err))
	case ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultOperationsError:
		return fmt.Errorf("%w: it refuses: %s", ErrNoWatch, text(err))
	case ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultAdminLimitExceeded:
		return fmt.Errorf("%w: its size limit is below its number of entries (OpenLDAP: limits dn.exact=… size=unlimited): %s", ErrNoWatch, text(err))
	case ldap.LDAPResultNoSuchObject:
		return fmt.Errorf("%w: there is no entry with the base DN: %s", ErrNoWatch, text(err))
	}
	return nil
}
