# The base of the images where it is made of Debian packages: those that the file `debian` names.
FROM scratch
ADD rootfs.tar /
