package config

import (
	"fmt"
	"net"
	"strconv"

	"github.com/posthouse-mail/posthouse/smtp/sender"
)

// Hosts reads mail servers, "host:port" each.
func Hosts(addresses ...string) ([]sender.Host, error) {
	var hosts []sender.Host
	for _, address := range addresses {
		name, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 || name == "" {
			return nil, fmt.Errorf("%q is not a host and a port", address)
		}
		hosts = append(hosts, sender.Host{Name: name, Port: int(number)})
	}
	return hosts, nil
}
