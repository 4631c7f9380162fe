/* An ICU data library without data: what looks for some finds that there is none. */

#define JOIN(major) icudt##major##_dat
#define NAME(major) JOIN(major)

const unsigned char NAME(ICU)[64];
