package smtp

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/posthouse-mail/posthouse/proxy"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

// attribute is a pair of XCLIENT.
type attribute struct{ name, value string }

// unavailable is the value of what is not known.
const unavailable = "[UNAVAILABLE]"

// tell tells the back end of the client, by XCLIENT where that is configured
// and announced, and from then on speaks in the client's name. Who the client
// has logged in as is never told: the back end is to find that out itself.
func (h *hop) tell(client *Session) error {
	how, name := h.link.Backend().Tell, h.name
	if h.link.Client().Remote.IsValid() {
		name = ehloName(client.Helo, h.name)
	}
	if how&proxy.TellPROXY != 0 {
		h.name, h.extensions = name, nil
	}
	if how&proxy.TellXCLIENT == 0 {
		return nil
	}
	if err := h.ehlo(); err != nil {
		return err
	}
	announced := strings.Fields(strings.ToUpper(h.extensions["XCLIENT"]))
	for _, line := range xclient(announced, h.attributes(client)) {
		r, err := h.command(line)
		if err != nil {
			return fmt.Errorf("XCLIENT: %w", err)
		}
		if r.code/100 == 5 && strings.HasPrefix(r.lines[0], "5.4.6 ") { // RFC 3463 §3.5
			return fmt.Errorf("%w: %w: XCLIENT: %w", proxy.ErrUnfit, proxy.ErrLoop, r)
		}
		if r.code != 220 && r.code != 250 {
			return fmt.Errorf("%w: XCLIENT: %w", proxy.ErrUnfit, r)
		}
		h.name, h.extensions = name, nil // it begins anew
	}
	return nil
}

// attributes are what may be told of the client, if one is known, and of the
// way. NAME is told because it would else be that of this front end.
func (h *hop) attributes(client *Session) (all []attribute) {
	c := h.link.Client()
	if c.Remote.IsValid() {
		address, port := endpointValues(c.Remote)
		all = append(all, attribute{"NAME", unavailable}, attribute{"ADDR", address}, attribute{"PORT", port},
			attribute{"HELO", ehloName(client.Helo, unavailable)}, attribute{"PROTO", protocolValue(client, c.Protocol)})
		if c.Local.IsValid() {
			address, port := endpointValues(c.Local)
			all = append(all, attribute{"DESTADDR", address}, attribute{"DESTPORT", port})
		}
	}
	if c.Session != "" {
		all = append(all, attribute{"SESSION", c.Session})
	}
	return append(all, attribute{"TTL", strconv.Itoa(h.link.Hops())})
}

func endpointValues(ap netip.AddrPort) (address, port string) {
	a := ap.Addr().Unmap().WithZone("")
	address = a.String()
	if a.Is6() {
		address = "IPV6:" + address
	}
	return address, strconv.Itoa(int(ap.Port()))
}

// protocolValue names the client's protocol. Only back ends that speak LMTP
// are told that the client does.
func protocolValue(client *Session, hop proxy.Protocol) string {
	switch {
	case client.Protocol == LMTP && hop == proxy.LMTP:
		return "LMTP"
	case client.Protocol != LMTP && !client.ESMTP && client.Helo != "":
		return "SMTP"
	}
	return "ESMTP"
}

// ehloName is what the client calls itself if that can stand in a command,
// and otherwise something else.
func ehloName(helo, otherwise string) string {
	if helo == "" || helo != string(appendName(nil, helo)) {
		return otherwise
	}
	return helo
}

// xclient writes the commands that tell what is announced, each within
// maxXclient; what does not fit alone is left out.
func xclient(announced []string, all []attribute) (lines []string) {
	line := ""
	for _, a := range all {
		word := " " + a.name + "=" + sender.Xtext(a.value)
		if !slices.Contains(announced, a.name) || len("XCLIENT")+len(word)+len("\r\n") > maxXclient {
			continue
		}
		if line != "" && len(line)+len(word)+len("\r\n") > maxXclient {
			lines, line = append(lines, line), ""
		}
		if line == "" {
			line = "XCLIENT"
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
