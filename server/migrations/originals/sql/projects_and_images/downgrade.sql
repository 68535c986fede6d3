DROP TABLE images;
DROP TABLE projects;
