# Copied to /etc/nginx/sbm by the administrator, who changes it there.
nginxdir = $(pkgdatadir)/nginx
dist_nginx_DATA = nginx/sbm.conf nginx/http.conf nginx/locations.conf nginx/fastcgi.conf
