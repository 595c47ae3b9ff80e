package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"time"
)

// localTimeout bounds the question to a relay on this machine, localLimit its answer.
const (
	localTimeout = time.Second
	localLimit   = 64 << 10
)

// localRelay is what /readyz says.
type localRelay struct {
	Ready  *bool        `json:"ready"`
	Role   string       `json:"role"`
	Faults []localFault `json:"faults"`
}

type localFault struct {
	faultStatus
	Fix string `json:"fix"`
}

// askLocal asks the relay that listens on ADMIN_ADDR of this machine; nil: none answers.
func askLocal(ctx context.Context, addr string) *localRelay {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "0" {
		return nil
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return nil
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy
	answer, err := client.Do(request)
	if err != nil {
		return nil
	}
	defer func() { _ = answer.Body.Close() }()
	var relay localRelay
	err = json.NewDecoder(io.LimitReader(answer.Body, localLimit)).Decode(&relay)
	if err != nil || relay.Ready == nil || relay.Role != "leader" && relay.Role != "standby" {
		return nil // something else listens there
	}
	return &relay
}
