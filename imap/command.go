package imap

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// command is one line of the table of commands.
type command struct {
	states  states
	parse   func(p *parser) request                               // reads the arguments; mistakes stay in the parser
	ready   func(s *session) error                                // nil, or asked before literals are accepted
	stream  func(ctx context.Context, s *session) (result, error) // instead of parse: takes its literals itself
	updates updates                                               // what the client may be told after it
}

// request is a parsed command.
type request interface {
	run(ctx context.Context, s *session) (result, error)
}

// result is what the tagged OK says beside "NAME completed".
type result struct {
	code string // of a response code, without brackets
	text string // instead of "NAME completed"

	expunged bool     // messages are gone: the answer has HIGHESTMODSEQ, if the client wants to know
	lowest   imap.UID // of those that were processed when MESSAGELIMIT kept others from it; 0: all were

	answered bool // the command has written its tagged answer already
}

// states are those that a command is allowed in (RFC 9051 §3).
type states uint8

const (
	before   states = 1 << iota // not authenticated
	after                       // authenticated
	selected                    // with a mailbox
	always   = before | after | selected
	loggedIn = after | selected
)

func (s *session) states() states {
	switch s.state {
	case imap.ConnStateAuthenticated:
		return after
	case imap.ConnStateSelected:
		return selected
	default:
		return before
	}
}

// maxTag bounds a tag: it comes back in responses.
const maxTag = 128

// opening is what the first line of a command says.
type opening struct {
	tag  string
	name string // in capitals, with "UID " before it where it is a command by UID
	args int    // where the arguments begin in the line
	err  error
}

// open takes a command's line apart. An unusable tag is an empty one.
func open(line []byte) (o opening) {
	end := bytes.IndexByte(line, ' ')
	if end < 0 {
		end = len(line)
	}
	o.args = end
	if !isTag(line[:end]) {
		o.err = bad("Invalid tag")
		return o
	}
	o.tag = string(line[:end])
	p := &parser{buf: line, pos: end}
	p.space()
	o.name = p.word()
	if o.name == "UID" && p.err == nil {
		p.space()
		o.name += " " + p.word()
	}
	o.args = p.pos
	if p.err != nil {
		o.err = bad("Missing or invalid command name")
	}
	return o
}

func (o *opening) tagOrStar() string {
	if o.tag == "" {
		return "*"
	}
	return o.tag
}

func isTag(b []byte) bool {
	for _, c := range b {
		if classes[c]&tagOK == 0 {
			return false
		}
	}
	return len(b) > 0 && len(b) <= maxTag
}

// command runs the command that the scanner has begun. An error ends the session.
func (s *session) command(ctx context.Context) error {
	if s.states() == before && looksLikeHTTP(s.in.buf) {
		return s.wrongProtocol(ctx, "HTTP")
	}
	o := open(s.in.buf)
	s.running = o
	s.pace.begin()
	s.out.reset()
	reply, err := s.execute(ctx, o)
	if err = s.finish(ctx, o, reply, err); err != nil {
		return err
	}
	if err := s.out.release(); err != nil {
		return &broken{err}
	}
	return nil
}

// execute reads, checks and runs a command.
func (s *session) execute(ctx context.Context, o opening) (result, error) {
	c, err := s.lookUpCommand(o)
	if err != nil {
		return result{}, s.refused(err)
	}
	if c.stream != nil {
		reply, err := c.stream(ctx, s)
		return s.updated(ctx, c, reply, err)
	}
	if err := s.in.collect(); err != nil {
		return result{}, err
	}
	p := &parser{buf: s.in.buf, lits: s.in.lits, pos: o.args, utf8: s.enabled(rev2 | utf8only), uidOnly: s.enabled(uidOnly), noCharset: s.enabled(utf8only)}
	r := c.parse(p)
	if err := p.end(); err != nil {
		return result{}, err
	}
	// What is asked for includes what has just come; numbers still mean what
	// they meant when the client wrote them.
	if err := s.update(ctx, min(c.updates, allButExpunge)); err != nil {
		return result{}, err
	}
	reply, err := r.run(ctx, s)
	return s.updated(ctx, c, reply, err)
}

func (s *session) lookUpCommand(o opening) (command, error) {
	if o.err != nil {
		return command{}, o.err
	}
	c, ok := commands[o.name]
	switch {
	case !ok:
		return c, bad("Unknown command")
	case c.states&s.states() == 0:
		return c, bad("Command not allowed in this state")
	case s.enabled(uidOnly) && usesNumbers(o.name):
		return c, errUIDRequired
	case c.ready != nil:
		return c, c.ready(s)
	}
	return c, nil
}

// refused skips the octets of a command that is not going to be read, and
// returns err for it.
func (s *session) refused(err error) error {
	bound := int64(s.in.limits.Command)
	if s.state != imap.ConnStateNotAuthenticated {
		bound = 2 * s.limits.AppendSize
	}
	if skip := s.in.refuse(bound); skip != nil {
		return skip
	}
	return err
}

// updated tells the client what changed, after a command whatever came of it.
func (s *session) updated(ctx context.Context, c command, reply result, err error) (result, error) {
	if endsSession(err) {
		return reply, err
	}
	if news := s.update(ctx, c.updates); news != nil && (err == nil || endsSession(news)) {
		return reply, news
	}
	if c.updates != noUpdates {
		s.tellNotes(ctx)
	}
	return s.highestModSeq(reply), err
}

// endsSession tells errors that end a session from those that a command answers.
func endsSession(err error) bool {
	if err == nil {
		return false
	}
	var bye *goodbye
	var cut *broken
	return errors.As(err, &bye) || errors.As(err, &cut)
}

// finish writes the tagged answer. What it returns ends the session.
func (s *session) finish(ctx context.Context, o opening, reply result, err error) error {
	tag := o.tagOrStar()
	if err == nil && reply.answered {
		return nil
	}
	if reply.lowest != 0 && !endsSession(err) {
		reply = s.tellMessageLimit(o, reply, err)
	}
	if err == nil {
		if reply.text == "" {
			reply.text = o.name + " completed"
		}
		s.out.status(tag, "OK", reply.code, reply.text)
		s.understood()
		return nil
	}
	if endsSession(err) {
		return err
	}
	a, foreseen := answer(err)
	if !foreseen {
		s.log(ctx, slog.LevelError, "command failed", err, "command", o.name)
	}
	s.out.status(tag, string(a.Type), string(a.Code), a.Text)
	if a.Type == imap.StatusResponseTypeBad {
		return s.misunderstood()
	}
	s.understood()
	return nil
}

func (s *session) understood() {
	if s.state != imap.ConnStateNotAuthenticated {
		s.bad = 0
	}
}

// misunderstood counts a bad command.
func (s *session) misunderstood() error {
	limit := s.limits.BadBefore
	if s.state != imap.ConnStateNotAuthenticated {
		limit = s.limits.BadAfter
	}
	if s.bad++; s.bad >= limit {
		return &goodbye{text: "Too many bad commands"}
	}
	return nil
}

// status writes a status response (RFC 9051 §7.1). It is the only place that
// does, and what it writes is always one line.
func (o *output) status(tag, kind, code, text string) {
	o.text(tag)
	o.byte(' ')
	o.text(kind)
	o.byte(' ')
	if code != "" {
		o.byte('[')
		o.text(clean(code))
		o.text("] ")
	}
	o.text(clean(text))
	o.end()
}

// wrongProtocol ends a session whose client speaks something else.
func (s *session) wrongProtocol(ctx context.Context, what string) error {
	s.log(ctx, slog.LevelInfo, "client speaks another protocol", nil, "protocol", what)
	return &goodbye{text: "This is IMAP"}
}

// speaksTLS finds, in what has come before login, the handshake of a client that
// takes this port for one with TLS from the first octet (RFC 8446 §5.1). It is
// no line, and may never become one.
func (s *session) speaksTLS() bool {
	if s.states() != before || s.secure() {
		return false
	}
	w, err := s.conn.Window()
	return err == nil && len(w) > 1 && w[0] == 0x16 && w[1] == 3
}

// looksLikeHTTP finds requests that a browser was made to send here.
func looksLikeHTTP(line []byte) bool {
	method, rest, _ := strings.Cut(string(line[:min(len(line), 16)]), " ")
	switch method {
	case "GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "CONNECT", "PATCH", "TRACE":
		return strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, "http") || method == "CONNECT" || strings.HasPrefix(rest, "*")
	}
	return false
}
