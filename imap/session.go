package imap

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/proxy"
	"github.com/posthouse-mail/posthouse/storage"
)

// session is one client's connection. One goroutine runs its commands; while
// it waits inside IDLE, another may come and push updates.
type session struct {
	gate   *gate
	server *Server // behind the gate; nil: a Proxy is there
	conn   *wire.Conn
	limits Limits
	in     scanner
	id     string
	state  imap.ConnState

	running opening // the command that runs; zero between commands
	pace    pace    // of reports on how far it is

	idling bool // IDLE runs

	told     *front.Told // by the front end whose connection it is; nil: by none
	distrust bool        // what somebody else told was ignored, and that was logged

	bad   int // commands that could not be understood; in a row, after login
	guard front.Guard

	clientID []idField      // what the client of a Proxy says of itself
	visitor  *proxy.Visitor // of a Proxy, until somebody is logged in; nil: there is none yet
	arrival  *arrival       // at a back end, of a login that is not over; nil: none
	link     *proxy.Link    // that goes on with the client; nil: none

	user     string
	account  storage.Account
	unwatch  func() // stops the account's notes
	unfollow func() // stops those of the account of a selected mailbox that is somebody else's; nil: it is not

	// mu is held by a push for as long as it works and writes, because the
	// session must neither run a command nor use the view meanwhile. It is
	// never held while a command runs.
	mu         sync.Mutex
	idle       bool // a push may come
	out        output
	view       *view      // nil: no mailbox is selected
	extensions extensions // that the client has enabled (RFC 5161)
	heard      uint64     // the highest mod-sequence of the selected mailbox that the client was sent
	vanished   bool       // the client was told of expunges since it was last sent HIGHESTMODSEQ

	notify   atomic.Pointer[notifier] // nil: NOTIFY is not in force
	contexts []*liveContext

	selected atomic.Uint64 // ID of the selected mailbox; 0: none
	dirty    atomic.Bool   // the selected mailbox changed
	stale    atomic.Bool   // the rights on the selected mailbox may have changed
	pushing  atomic.Bool   // a push is on its way
	waiting  atomic.Bool   // inside IDLE
}

func (g *gate) newSession(c *wire.Conn) *session {
	server, _ := g.behind.(*Server)
	told := front.NewTold(c, g.fronts)
	n := &session{
		gate: g, server: server, conn: c, limits: g.limits, id: told.ID(), state: imap.ConnStateNotAuthenticated,
		told:  told,
		in:    scanner{conn: c, limits: g.limits},
		out:   output{conn: c},
		guard: front.Guard{Max: g.limits.AuthFailures, Delay: g.timeouts.AuthDelay},
		pace:  pace{every: g.timeouts.progress()},
	}
	n.in.limits.Command = min(g.limits.Command, commandBeforeLogin)
	return n
}

func (s *session) greet() {
	s.out.reset()
	text := "IMAP4 ready"
	if s.gate.hostname != "" {
		text = s.gate.hostname + " " + text
	}
	s.out.status("*", "OK", s.capabilityCode(), text)
	_ = s.out.release()
}

// commands runs one command after the other until one ends the session, or
// lets it wait in IDLE.
func (s *session) commands(ctx context.Context) error {
	for s.state != imap.ConnStateLogout {
		if err := s.await(ctx); err != nil {
			return err
		}
		if s.speaksTLS() {
			return s.wrongProtocol(ctx, "TLS")
		}
		if err := s.in.begin(); err != nil {
			return err
		}
		if err := s.command(ctx); err != nil {
			return err
		}
		if s.idling {
			return s.beginPushes(ctx)
		}
		s.commandDone()
	}
	return nil
}

// commandDone makes ready for the next command.
func (s *session) commandDone() {
	s.in.done()
	s.running = opening{}
}

// farewell says why the session ends, if the client can still hear it.
func (s *session) farewell(ctx context.Context, err error) {
	var bye *goodbye
	text := ""
	switch {
	case err == nil: // LOGOUT has said it
	case errors.As(err, &bye):
		text = bye.text
	case errors.Is(err, wire.ErrInterrupted):
		text = "Server is shutting down"
	case errors.Is(err, wire.ErrCorrupt), errors.Is(err, wire.ErrExpands):
		bye = &goodbye{text: "Compressed data can't be read"}
		text = bye.text
	case isTimeout(err):
		text = "Idle for too long"
	default:
		s.log(ctx, slog.LevelDebug, "connection lost", err)
		return
	}
	s.out.reset()
	if bye != nil && bye.err != nil {
		reply, _ := answer(bye.err)
		s.out.status(s.running.tagOrStar(), string(reply.Type), string(reply.Code), reply.Text)
	}
	if text != "" {
		s.out.status("*", "BYE", "", text)
	}
	if s.out.release() == nil && s.conn.Flush() == nil && bye != nil {
		s.conn.Linger(lingerTime, lingerOctets)
	}
}

// How long and how much a client may still send that was told BYE; cutting
// it short could take the BYE away from it.
const (
	lingerTime   = 2 * time.Second
	lingerOctets = 1 << 20
)

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// close gives back what the session holds.
func (s *session) close() {
	s.dropArrival()
	if s.unwatch != nil {
		s.unwatch()
	}
	s.unfollowed()
	s.endNotify()
	s.endPushes()
	if s.view != nil {
		s.giveBack(s.view)
		s.view = nil
	}
}

// remote returns the client's address; that of the front end while it has not
// told another.
func (s *session) remote() netip.Addr { return s.told.Addr(s.conn.Remote()) }

// secure reports whether the connection is encrypted.
func (s *session) secure() bool { return s.conn.TLS() != nil }

// log writes a line about this session. Text from a client is only ever a value.
func (s *session) log(ctx context.Context, level slog.Level, text string, err error, more ...any) {
	args := append([]any{"session", s.id, "remote", s.remote().String()}, more...)
	if s.user != "" {
		args = append(args, "user", s.user)
	}
	if s.told != nil {
		args = append(args, s.told.Attr())
	}
	if err != nil {
		args = append(args, "err", err.Error())
	}
	s.gate.logger.Log(ctx, level, text, args...)
}
