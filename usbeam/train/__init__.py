"""Networks, and what it takes to fit them. Needs the extra ``train``; nothing here is loaded with usbeam itself."""
