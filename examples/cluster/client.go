package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"path/filepath"
	"strings"
	"time"

	"github.com/posthouse-mail/posthouse/examples/internal/config"
)

// patience is how long the self-test waits for any answer.
const patience = time.Minute

// conversation is a client's connection in a protocol of lines.
type conversation struct{ *textproto.Conn }

// dial connects and reads the greeting.
func dial(host, port string) (*conversation, error) {
	nc, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), patience)
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	c := &conversation{textproto.NewConn(nc)}
	_, err = c.ReadLine()
	return c, err
}

// imap sends a command and returns all that is said until its answer, which
// is the last line.
func (c *conversation) imap(command string) (string, error) {
	if err := c.PrintfLine("T %s", command); err != nil {
		return "", err
	}
	var said strings.Builder
	for {
		line, err := c.ReadLine()
		said.WriteString(line + "\n")
		if err != nil || strings.HasPrefix(line, "T ") {
			return said.String(), err
		}
	}
}

// pop3 sends a command and returns its answer; of more lines all of them.
func (c *conversation) pop3(command string, lines int) (string, error) {
	if err := c.PrintfLine("%s", command); err != nil {
		return "", err
	}
	answer, err := c.ReadLine()
	if err != nil || lines == 0 || !strings.HasPrefix(answer, "+OK") {
		return answer, err
	}
	more, err := c.ReadDotLines()
	return strings.Join(append(more, answer), "\n"), err
}

// readIMAP logs in and returns the subjects of the INBOX, or the answer to a
// login that fails.
func readIMAP(front string, who user) (string, error) {
	c, err := dial(front, "1143")
	if err != nil {
		return "", err
	}
	defer c.Close()
	answer, err := c.imap(fmt.Sprintf("LOGIN %s %s", who.name, who.password))
	if err != nil || !strings.Contains(answer, "T OK") {
		return answer, err
	}
	if _, err := c.imap("SELECT INBOX"); err != nil {
		return "", err
	}
	return c.imap("FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
}

// readPOP3 does the same by POP3, with the first message alone.
func readPOP3(front string, who user) (string, error) {
	c, err := dial(front, "1110")
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := c.pop3("USER "+who.name, 0); err != nil {
		return "", err
	}
	answer, err := c.pop3("PASS "+who.password, 0)
	if err != nil || !strings.HasPrefix(answer, "+OK") {
		return answer, err
	}
	text, err := c.pop3("TOP 1 0", 1)
	if err == nil {
		_, err = c.pop3("QUIT", 0)
	}
	return text, err
}

// send sends a message to some, in one transaction.
func send(c *smtp.Client, subject, from string, to ...string) error {
	if err := c.Mail(from); err != nil {
		return err
	}
	for _, recipient := range to {
		if err := c.Rcpt(recipient); err != nil {
			return fmt.Errorf("%s: %w", recipient, err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "From: <%s>\r\nTo: %s\r\nSubject: %s\r\n\r\nHello.\r\n", from, strings.Join(to, ", "), subject)
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// mailTo sends a message by SMTP.
func mailTo(host, port, subject string, to ...string) error {
	c, err := smtpClient(host, port)
	if err != nil {
		return err
	}
	defer c.Close()
	return send(c, subject, "carol@example.org", to...)
}

func smtpClient(host, port string) (*smtp.Client, error) {
	nc, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), patience)
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	return smtp.NewClient(nc, host)
}

// submit logs in at a front end, whose certificate it verifies, and sends a
// message.
func (c *cluster) submit(n int, who user, subject string, to ...string) error {
	name := fmt.Sprintf("frontend%d", n)
	roots, err := config.Authorities(filepath.Join(c.dir, name, "tls", "cert.pem"))
	if err != nil {
		return err
	}
	s, err := smtpClient(c.front(n), "1587")
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.StartTLS(&tls.Config{RootCAs: roots, ServerName: name + ".example.test", MinVersion: tls.VersionTLS12}); err != nil {
		return err
	}
	if err := s.Auth(smtp.PlainAuth("", who.name, who.password, c.front(n))); err != nil {
		return err
	}
	return send(s, subject, who.name, to...)
}
