//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

// nginxTemplate is nginx as one would set it up for streams: nothing is buffered,
// upstream connections are kept, and nothing is logged, as with the others.
var nginxTemplate = template.Must(template.New("nginx").Parse(`
{{if .Root}}user root;
{{end}}daemon off;
worker_processes auto;
worker_rlimit_nofile {{.Files}};
pid {{.Dir}}/nginx.pid;
error_log stderr crit;
events {
  worker_connections {{.Files}};
}
http {
  access_log off;
  client_body_temp_path {{.Dir}}/body;
  proxy_temp_path {{.Dir}}/proxy;
  fastcgi_temp_path {{.Dir}}/fastcgi;
  uwsgi_temp_path {{.Dir}}/uwsgi;
  scgi_temp_path {{.Dir}}/scgi;
  keepalive_requests 10000000;
  upstream mock {
    server {{.Upstream}};
    keepalive 1024;
    keepalive_requests 10000000;
  }
  server {
    listen {{.Listen}};
    location / {
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 1h;
    }
  }
}
`))

var nginxVersion = regexp.MustCompile(`nginx/([0-9.]+)`)

// prepareNginx finds nginx; errAbsent if there is none.
func prepareNginx(ctx context.Context) (subject, error) {
	path, err := exec.LookPath("nginx")
	if err != nil {
		// It is for the superuser, and not on everybody's path.
		if path, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return subject{}, fmt.Errorf("looking for nginx: %w", errAbsent)
		}
	}
	printed, err := exec.CommandContext(ctx, path, "-v").CombinedOutput()
	if err != nil {
		return subject{}, fmt.Errorf("asking nginx for its version: %w", err)
	}
	title := "nginx"
	if found := nginxVersion.FindSubmatch(printed); found != nil {
		title += " " + string(found[1])
	}
	return subject{name: subjectNginx, title: title, command: func(ctx context.Context, p place) (*exec.Cmd, error) {
		file := filepath.Join(p.dir, "nginx.conf")
		text, err := nginxConfig(p, os.Geteuid() == 0)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("writing the configuration of nginx: %w", err)
		}
		return exec.CommandContext(ctx, path, "-e", "stderr", "-p", p.dir, "-c", file), nil
	}}, nil
}

// nginxConfig writes the configuration file. As root, the workers must stay root to
// reach a directory that belongs to root.
func nginxConfig(p place, root bool) (string, error) {
	var text strings.Builder
	err := nginxTemplate.Execute(&text, map[string]any{
		"Root": root, "Dir": p.dir, "Listen": p.listen, "Upstream": p.upstream, "Files": filesFor(p.streams),
	})
	if err != nil {
		return "", fmt.Errorf("writing the configuration of nginx: %w", err)
	}
	return text.String(), nil
}
