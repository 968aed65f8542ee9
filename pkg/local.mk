# The Debian package, from the files of a release: make deb leaves it in deb/.
EXTRA_DIST += pkg/debian pkg/try-install
DPKG_BUILDPACKAGE = dpkg-buildpackage
deb: distdir
	$(AM_V_GEN)rm -rf deb && mkdir deb && mv $(distdir) deb/$(distdir) && cp -r deb/$(distdir)/pkg/debian deb/$(distdir)/debian
	cd deb/$(distdir) && $(DPKG_BUILDPACKAGE) --build=binary --no-sign
.PHONY: deb
clean-local: deb-clean
deb-clean:
	rm -rf deb
.PHONY: deb-clean
