package transfer

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// The lines that stand between the From_ line and the message.
const (
	messageLine  = "X-Posthouse-Message"
	statusLine   = "Status"
	xStatusLine  = "X-Status"
	keywordsLine = "X-Keywords"
)

// mboxWriter writes one mailbox as an mbox.
type mboxWriter struct {
	file    *os.File
	files   files
	out     *bufio.Writer
	reading reading
}

// add writes a message with the lines around it.
func (w *mboxWriter) add(_ uint32, m storage.Message, body message.OpenBody) error {
	if err := w.files.before(); err != nil {
		return err
	}
	c, err := w.reading.inspect(body)
	if err != nil {
		return err
	}
	sender, err := senderOf(c.body)
	if err != nil {
		return err
	}
	end := "own"
	if !c.whole {
		end = "added"
	}
	fmt.Fprintf(w.out, "%s%s %s\n", fromWord, sender, fromDate(m.Date))
	writeStatus(w.out, m, fmt.Sprintf("lines=%s end=%s", c.ends, end))
	q := quoter{w: w.out}
	if err := w.reading.write(&q, c); err != nil {
		return err
	}
	if err := q.flush(); err != nil {
		return err
	}
	if !c.whole {
		w.out.WriteByte('\n')
	}
	return w.out.WriteByte('\n')
}

// writeStatus writes what an mbox knows of a message. Errors stay in w.
func writeStatus(w *bufio.Writer, m storage.Message, form string) {
	var plain, rest []imap.Flag
	for _, k := range m.Flags.Keywords {
		if isPlain(k) {
			plain = append(plain, k)
		} else {
			rest = append(rest, k)
		}
	}
	fmt.Fprintf(w, "%s: date=%s size=%d %s", messageLine, m.Date.Format(dateLayout), m.Size, form)
	if len(rest) > 0 {
		fmt.Fprintf(w, " keywords=%s", joinWords(rest))
	}
	status := "O"
	if m.Flags.Has(storage.Seen) {
		status = "RO"
	}
	fmt.Fprintf(w, "\n%s: %s\n%s: ", statusLine, status, xStatusLine)
	for _, l := range xStatusLetters {
		if m.Flags.Has(l.flag) {
			w.WriteByte(l.letter)
		}
	}
	fmt.Fprintf(w, "\n%s:", keywordsLine)
	for _, k := range plain {
		fmt.Fprintf(w, " %s", k)
	}
	w.WriteByte('\n')
}

// dateLayout is RFC 3339 with a zone of digits always.
const dateLayout = "2006-01-02T15:04:05-07:00"

var xStatusLetters = []struct {
	letter byte
	flag   storage.SystemFlags
}{{'A', storage.Answered}, {'F', storage.Flagged}, {'T', storage.Draft}, {'D', storage.Deleted}}

// fromDate writes a date as a From_ line has it: in UTC, within the years that
// other programs understand.
func fromDate(t time.Time) string {
	return time.Unix(max(t.Unix(), 0), 0).UTC().Format(time.ANSIC)
}

const (
	noSender   = "MAILER-DAEMON"
	maxSender  = 320     // octets
	senderArea = 8 << 10 // where Return-Path is looked for: it is the first field after a delivery
)

// senderOf returns the envelope's sender from a Return-Path field.
func senderOf(b message.Body) (string, error) {
	head := make([]byte, min(b.Size(), senderArea))
	if _, err := io.ReadFull(message.NewReader(b), head); err != nil && err != io.EOF {
		return "", err
	}
	for f := range message.Fields(head) {
		if f.Name == "" {
			break
		}
		if !strings.EqualFold(f.Name, "Return-Path") {
			continue
		}
		sender := strings.Trim(message.Unfold(f.Raw), "<>")
		if len(sender) <= maxSender && isPlain(imap.Flag(sender)) {
			return sender, nil
		}
		break
	}
	return noSender, nil
}

// settle writes what is buffered and makes it durable.
func (w *mboxWriter) settle(s *state) error {
	if err := w.out.Flush(); err != nil {
		return err
	}
	if err := w.files.sync(w.file); err != nil {
		return err
	}
	at, err := w.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	s.Offset = at
	s.Tail, err = w.tail(at)
	return err
}

func (w *mboxWriter) Close() error { return w.file.Close() }
